//! The end of an application as an operator needs it: nothing that was accepted is lost, everything that was open is
//! counted, whatever holds it up and whoever asks for it.

mod crowd;
mod delivery;
mod generations;
mod rolling;
mod supervisor;
