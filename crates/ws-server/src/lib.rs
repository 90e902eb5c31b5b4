//! A WebSocket server: sessions above transports, rooms, typed messages and bounded outboxes.
