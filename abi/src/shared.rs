//! How what both sides read is laid out.

/// A structure of the kernel side, byte by byte as it says, which the agent reads from bytes.
macro_rules! shared {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        #[cfg_attr(
            feature = "user",
            derive(
                zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout
            )
        )]
        #[repr(C)]
        pub struct $name { $($(#[$fdoc])* pub $field: $type,)+ }
    };
}

pub(crate) use shared;
