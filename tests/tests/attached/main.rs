//! The life of the facade, in this process, over real sockets.

mod asking;
mod doors;
mod end;
mod start;
mod support;
