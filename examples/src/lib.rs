//! Shared by this package.
