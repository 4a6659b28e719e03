//! Who is who: objects by namespace and name.

use crate::Problem;
use crate::lexical;
use crate::problem::ensure;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use relay_snapshot::ObjectId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The namespace of objects that name none, as with kubectl.
const DEFAULT_NAMESPACE: &str = "default";

/// The id of an object.
pub(crate) fn id_of(meta: &ObjectMeta) -> ObjectId {
    let namespace = meta.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    ObjectId::new(namespace.unwrap_or(DEFAULT_NAMESPACE), meta.name.as_deref().unwrap_or_default())
}

/// Groups objects by id. An API server has one object an id; a folder of manifests can hold two.
pub(crate) fn by_id<K: Resource>(objects: &[Arc<K>]) -> BTreeMap<ObjectId, Vec<&K>> {
    let mut groups: BTreeMap<ObjectId, Vec<&K>> = BTreeMap::new();
    for object in objects {
        groups.entry(id_of(object.meta())).or_default().push(object);
    }
    groups
}

/// The one object of an id. Two that differ are both refused: whichever were taken, the choice would be by chance.
pub(crate) fn only<'a, K: PartialEq>(id: &ObjectId, objects: &[&'a K]) -> Result<&'a K, Problem> {
    ensure(
        lexical::is_object_name(&id.name),
        "metadata.name",
        "",
        "must be set, at most 253 lower-case letters, digits, - and ., and begin and end with a letter or digit",
    )?;
    ensure(
        lexical::is_label(&id.namespace),
        "metadata.namespace",
        "",
        "must be at most 63 lower-case letters, digits and -, and begin and end with a letter or digit",
    )?;
    let twice = || Problem::invalid("metadata.name", "two different objects have this name: keep one or rename one");
    match objects {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(first),
        _ => Err(twice()),
    }
}

/// When an object was created, in seconds since 1970; 0 where no API server said it.
pub(crate) fn created(meta: &ObjectMeta) -> i64 {
    meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second())
}
