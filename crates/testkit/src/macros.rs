//! From the lists of cases to static slices and to tests.

/// Makes the public slice of one trait's cases from its list.
macro_rules! case_list {
    ([$repository:ty] $($method:ident { $($behavior:literal => [$($name:ident),+ $(,)?],)+ })+) => {
        &[$($($($crate::Case::<$repository> {
            name: stringify!($name),
            method: stringify!($method),
            behavior: $behavior,
            run: |fixture| Box::pin($name(fixture)),
        },)+)+)+]
    };
}

pub(crate) use case_list;

/// Makes one `#[test]` of each case of a list.
#[doc(hidden)]
#[macro_export]
macro_rules! __case_tests {
    ([$cases:path, $repository:ty, $harness:ty]
     $($method:ident { $($behavior:literal => [$($name:ident),+ $(,)?],)+ })+) => {
        $($($(
            #[test]
            fn $name() -> $crate::Outcome {
                let harness = <$harness as $crate::Harness<$repository>>::new();
                $crate::check_named($cases, stringify!($name), ::std::sync::Arc::new(harness))
            }
        )+)+)+
    };
}

/// Makes the two tests that compare random histories with the model.
#[doc(hidden)]
#[macro_export]
macro_rules! __model_tests {
    ([$plain:path, $with_faults:path], $repository:ty, $harness:ty) => {
        #[test]
        fn random_histories_agree_with_the_model() -> $crate::Outcome {
            $plain(&|| ::std::sync::Arc::new(<$harness as $crate::Harness<$repository>>::new()))
        }

        #[test]
        fn random_histories_with_faults_agree_with_the_model() -> $crate::Outcome {
            $with_faults(&|| {
                ::std::sync::Arc::new(<$harness as $crate::Harness<$repository>>::new())
            })
        }
    };
}

/// The names of a list, for the test that it is the same as the static slice.
#[cfg(test)]
macro_rules! case_names {
    ([] $($method:ident { $($behavior:literal => [$($name:ident),+ $(,)?],)+ })+) => {
        [$($($(stringify!($name),)+)+)+]
    };
}

#[cfg(test)]
pub(crate) use case_names;
