//! Whose key it is: every digest belongs to one tenant.

use crate::Problem;
use crate::tenant::{JudgedTenant, ValidTenant};
use relay_crds::reason;
use relay_snapshot::ObjectId;
use std::collections::BTreeMap;

/// Refuses the tenants that have a key of an older one. The older object keeps it (then the lower namespace/name), so that nobody who reads
/// a published digest can lock its owner out. A tenant that is refused holds no key against a younger one.
pub(crate) fn settle(tenants: &mut BTreeMap<ObjectId, JudgedTenant>) {
    let mut by_age: Vec<(i64, ObjectId)> =
        tenants.iter().filter_map(|(id, judged)| Some((judged.accepted.as_ref().ok()?.created, id.clone()))).collect();
    by_age.sort();
    let mut owners: BTreeMap<String, ObjectId> = BTreeMap::new();
    for (_, id) in by_age {
        let Some(judged) = tenants.get_mut(&id) else { continue };
        let Ok(valid) = &judged.accepted else { continue };
        if let Some(problem) = conflict(valid, &owners) {
            judged.accepted = Err(problem);
        } else {
            owners.extend(valid.tenant.keys.iter().map(|key| (key.sha256.clone(), id.clone())));
        }
    }
}

/// The first key, by name, that has an owner.
fn conflict(valid: &ValidTenant, owners: &BTreeMap<String, ObjectId>) -> Option<Problem> {
    let (key, owner) = valid.tenant.keys.iter().find_map(|key| Some((key, owners.get(&key.sha256)?)))?;
    let id = &valid.tenant.id;
    // Names in other namespaces are not this user's to know.
    let whose =
        if owner.namespace == id.namespace { format!("RelayTenant {owner}") } else { "another tenant".to_owned() };
    let message =
        format!("key {} already belongs to {whose}, which is older: give this tenant a key of its own", key.name);
    let field = valid.fields.get(&key.sha256).cloned().unwrap_or_else(|| "spec.apiKeys".to_owned());
    Some(Problem { reason: reason::KEY_CONFLICT, field, message })
}
