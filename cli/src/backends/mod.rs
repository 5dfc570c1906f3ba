//! The commands that ask every configured backend one question.

mod answers;
pub(crate) mod doctor;
pub(crate) mod forget;
