//! The pseudonymous id of the machine, and the deletion of its data.

pub(crate) mod deletion;
pub(crate) mod machine_id;
