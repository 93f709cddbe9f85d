//! Lines to rows and back.
//!
//! A line is taken apart once, without building a tree: [`fields`] walks the top level, [`instant`] reads the time, [`kind`] notes
//! what types a column has had, [`column`] and [`decode`] collect values for Arrow, [`encode`] writes Arrow rows as lines.

pub(crate) mod column;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod exact;
pub(crate) mod fields;
pub(crate) mod instant;
pub(crate) mod kind;
pub(crate) mod pointer;
pub(crate) mod template;
pub(crate) mod token;
