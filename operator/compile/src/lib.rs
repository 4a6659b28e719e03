//! Pure: routes, tenants and the Secrets that they name, to a [`Snapshot`] and one [`Verdict`] an object.
