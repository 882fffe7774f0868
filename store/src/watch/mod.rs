//! Watches: which events concern whom, and their delivery.
//!
//! [`Watches`] is what the rest of the store holds: the state machine publishes into it, streams read from it.

pub mod event;
mod history;
pub mod hub;
mod index;
pub mod interval;
pub mod local;
pub mod mailbox;
pub mod plan;
mod recent;
pub mod request;
pub mod stream;

pub use event::{Delivery, Filter, Picked, WatchId};
pub use history::{History, Watches};
pub use local::{LocalWatch, WatchItem};
pub use request::{WatchError, WatchOptions};
pub use stream::{StreamSettings, Surroundings, WatchStream};
