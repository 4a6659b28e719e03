//! A mirror: the objects of one kind, as the last events of their watches left them.
//!
//! Unlike kube's own store a mirror keeps what is made of an object, tells whether a change matters, and can be emptied when reading is denied.

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use relay_snapshot::ObjectId;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// What is kept of an object.
pub trait Mirrored: Sized + Send + Sync + 'static {
    /// The object as the API server sends it.
    type Object: Resource<DynamicType: Default + Eq + std::hash::Hash + Clone>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static;
    /// Whom changes concern.
    const CONCERNS: super::kinds::Concerns;
    /// Takes what is needed.
    fn mirror(object: Self::Object) -> Self;
    /// Whether the change from `before` can change what proxies serve.
    fn matters(&self, before: &Self) -> bool;
}

/// What an event did to a mirror, from least to most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing.
    None,
    /// Something that proxies need not know, such as a status.
    Detail,
    /// Something that may change what proxies serve; also the end of the first list.
    Matters,
}

type Objects<T> = BTreeMap<ObjectId, Arc<T>>;

/// All objects of one kind, from one watch or from one a namespace.
#[derive(Debug)]
pub struct Mirror<T> {
    sources: Vec<Arc<Source<T>>>,
    /// Whether the API server itself ended a list, of any watch.
    answered: AtomicBool,
}

/// The objects of one watch.
#[derive(Debug)]
pub struct Source<T>(RwLock<State<T>>);

#[derive(Debug)]
struct State<T> {
    objects: Objects<T>,
    /// A list that has not ended yet.
    incoming: Objects<T>,
    listed: bool,
}

impl<T: Mirrored> Mirror<T> {
    /// An empty mirror of `sources` watches.
    pub fn new(sources: usize) -> Self {
        let source =
            || Source(RwLock::new(State { objects: BTreeMap::new(), incoming: BTreeMap::new(), listed: false }));
        Self { sources: (0..sources).map(|_| Arc::new(source())).collect(), answered: AtomicBool::new(false) }
    }

    /// The objects of the `number`-th watch.
    pub fn source(&self, number: usize) -> Option<Arc<Source<T>>> {
        self.sources.get(number).map(Arc::clone)
    }

    /// Notes that the API server ended a list of some watch.
    pub fn note_answer(&self) {
        self.answered.store(true, Ordering::Release);
    }

    /// Whether the API server has ended a list of any watch. Where it denied all of them, nothing is known, and an empty fleet would be a lie.
    pub fn answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// Whether every watch has listed once.
    pub fn listed(&self) -> bool {
        self.sources.iter().all(|source| source.read(|state| state.listed))
    }

    /// All objects, in the order of their ids whatever the order of events was. Cluster-wide objects have an empty namespace.
    pub fn state(&self) -> Objects<T> {
        let mut all = Objects::new();
        for source in &self.sources {
            source.read(|state| all.extend(state.objects.iter().map(|(id, object)| (id.clone(), Arc::clone(object)))));
        }
        all
    }

    /// One object.
    pub fn get(&self, id: &ObjectId) -> Option<Arc<T>> {
        self.sources.iter().find_map(|source| source.read(|state| state.objects.get(id).map(Arc::clone)))
    }
}

impl<T: Mirrored> Source<T> {
    /// Takes an event.
    pub fn apply(&self, event: Event<T::Object>) -> Change {
        let mut guard = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        match event {
            Event::Init => {
                state.incoming = BTreeMap::new();
                Change::None
            }
            Event::InitApply(object) => {
                let (id, object) = entry::<T>(object);
                state.incoming.insert(id, object);
                Change::None
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut state.objects, std::mem::take(&mut state.incoming));
                let first = !std::mem::replace(&mut state.listed, true);
                if first { Change::Matters } else { between(&before, &state.objects) }
            }
            Event::Apply(object) => {
                let (id, object) = entry::<T>(object);
                match state.objects.insert(id, Arc::clone(&object)) {
                    Some(before) if !object.matters(&before) => Change::Detail,
                    _ => Change::Matters,
                }
            }
            Event::Delete(object) => match state.objects.remove(&id_of(&object)) {
                Some(_) => Change::Matters,
                None => Change::None,
            },
        }
    }

    fn read<R>(&self, look: impl FnOnce(&State<T>) -> R) -> R {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn between<T: Mirrored>(before: &Objects<T>, after: &Objects<T>) -> Change {
    if before.len() != after.len() {
        return Change::Matters;
    }
    let changes = after.iter().map(|(id, object)| match before.get(id) {
        Some(known) if !object.matters(known) => Change::Detail,
        _ => Change::Matters,
    });
    changes.max().unwrap_or(Change::None)
}

fn id_of(object: &impl ResourceExt) -> ObjectId {
    ObjectId::new(object.namespace().unwrap_or_default(), object.name_any())
}

fn entry<T: Mirrored>(object: T::Object) -> (ObjectId, Arc<T>) {
    (id_of(&object), Arc::new(T::mirror(object)))
}

#[cfg(test)]
mod tests;
