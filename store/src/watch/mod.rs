//! Watches: which events concern whom, and their delivery.
//!
//! [`Watches`] is what the rest of the store holds: the state machine publishes into it, streams read from it.

pub mod event;
pub mod hub;
pub mod interval;
pub mod local;
pub mod mailbox;

mod history;
pub mod stream;

pub use event::{Delivery, Filter, Picked, WatchId};
pub use history::{History, Watches};
pub use hub::{WatchError, WatchOptions};
pub use local::{LocalWatch, WatchItem};
pub use stream::{StreamSettings, Surroundings, WatchStream};
