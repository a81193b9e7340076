//! The opening handshake (§1.3, §4).
