//! Threads, sockets, connection states, settings and signals for servers that share one life.
