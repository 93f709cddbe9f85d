//! Checks that return a [`Failure`](crate::Failure) instead of panicking.

use std::fmt::Debug;

use minutebook_core::{Error, ErrorKind, Result};

use crate::case::{Failure, Outcome};

/// Fails the case with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        match $condition {
            true => {}
            false => return Err($crate::Failure::new(format!(
                "{} ({}:{})", format_args!($($message)+), file!(), line!()
            ))),
        }
    };
}

/// Fails the case with both values unless they are equal.
macro_rules! ensure_eq {
    ($found:expr, $expected:expr, $($message:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => {
                if *found != *expected {
                    return Err($crate::Failure::new(format!(
                        "{} ({}:{})\n    expected: {}\n    found:    {}",
                        format_args!($($message)+), file!(), line!(),
                        $crate::check::shown(expected), $crate::check::shown(found)
                    )));
                }
            }
        }
    };
}

pub(crate) use {ensure, ensure_eq};

/// A value as a failure shows it, cut where a megabyte would help nobody.
pub(crate) fn shown(value: &(impl Debug + ?Sized)) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(4_000) {
        None => text,
        Some((cut, _)) => format!("{}… ({} bytes)", &text[..cut], text.len()),
    }
}

/// The error of a call that must fail with this kind.
pub(crate) fn refused<T: Debug>(result: Result<T>, kind: ErrorKind, what: &str) -> Outcome<Error> {
    match result {
        Ok(value) => Err(Failure::new(format!(
            "{what} must fail with {kind}, but it gave {}",
            shown(&value)
        ))),
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => Err(Failure::new(format!(
            "{what} must fail with {kind}, but it failed with {}: {error}",
            error.kind()
        ))),
    }
}

/// Waits for tasks and hands over what each came to.
pub(crate) async fn joined<T: 'static>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Outcome<Vec<T>> {
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        let result = task.await;
        results.push(result.map_err(|error| Failure::new(format!("a task died: {error}")))?);
    }
    Ok(results)
}
