//! Copies of a store.
