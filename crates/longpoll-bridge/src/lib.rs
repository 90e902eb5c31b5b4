//! The same messages over plain HTTP: numbered rings, cursors and polls that wait.
