//! Watches: which events concern whom, and their delivery.
