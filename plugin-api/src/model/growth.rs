//! How a value of a model type is made outside of this crate: by its constructor, which takes what must be there, and then member by
//! member. A literal would not compile any more when the type gets a member; this does.

/// Gives types a method that sets members of a value while it is made.
macro_rules! grows {
    ($($type:ident),* $(,)?) => {
        $(impl $type {
            /// The same value with what `set` changes of it.
            #[must_use]
            pub fn with(mut self, set: impl FnOnce(&mut Self)) -> Self {
                set(&mut self);
                self
            }
        })*
    };
}

pub(crate) use grows;
