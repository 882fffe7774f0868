//! The bounded queue between the hub and one stream of watches.
//!
//! The hub never waits: it asks whether there is room and, if not, parks the watcher. The reader is woken through a
//! [`Waker`], so nothing here depends on a runtime.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::event::Delivery;
use crate::limits::{WATCH_QUEUE_BYTES, WATCH_QUEUE_DELIVERIES};

/// What waits for the reader of one stream.
#[derive(Debug)]
pub struct Mailbox {
    capacity: Capacity,
    state: Mutex<State>,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Deliveries.
    pub deliveries: usize,
    /// Bytes of events.
    pub bytes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { deliveries: WATCH_QUEUE_DELIVERIES, bytes: WATCH_QUEUE_BYTES }
    }
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Delivery>,
    /// Sum of [`Delivery::byte_len`] over the queue.
    bytes: usize,
    /// A watcher was parked because there was no room.
    refused: bool,
    /// The hub has something for the reader that is not in the queue: see [`Mailbox::nudge`].
    nudged: bool,
    reader: Option<Waker>,
}

/// What the reader finds.
#[derive(Debug)]
pub struct Mail {
    /// The next delivery; `None` if the reader was only nudged.
    pub delivery: Option<Delivery>,
    /// Watchers were parked and now there is room: the reader must call [`Hub::resume`](super::hub::Hub::resume).
    pub resume: bool,
}

impl Mailbox {
    /// A new, empty mailbox, shared by the hub and the reader.
    pub fn new(capacity: Capacity) -> Arc<Self> {
        Arc::new(Self { capacity, state: Mutex::default() })
    }

    /// Puts `delivery` at the end if there is room. One delivery fits into an empty mailbox however large it is.
    pub fn offer(&self, delivery: Delivery) -> Result<(), Delivery> {
        let mut state = self.state.lock();
        let bytes = delivery.byte_len();
        let full = state.queue.len() >= self.capacity.deliveries || state.bytes + bytes > self.capacity.bytes;
        if full && !state.queue.is_empty() {
            state.refused = true;
            return Err(delivery);
        }
        state.push(delivery, bytes);
        Ok(())
    }

    /// Puts an answer to the client's own request at the end, room or not: the reader of the requests waits for
    /// [`Mailbox::has_room`] before it reads the next one, which bounds them.
    pub fn force(&self, delivery: Delivery) {
        let bytes = delivery.byte_len();
        self.state.lock().push(delivery, bytes);
    }

    /// Wakes the reader without a delivery, for news that only the hub knows, such as a new revision.
    pub fn nudge(&self) {
        let mut state = self.state.lock();
        state.nudged = true;
        state.wake();
    }

    /// Whether less than half of the room is taken.
    pub fn has_room(&self) -> bool {
        self.state.lock().has_room(self.capacity)
    }

    /// Events that wait.
    pub fn event_count(&self) -> usize {
        self.state.lock().queue.iter().map(Delivery::event_count).sum()
    }

    /// Whether everything has been taken.
    pub fn is_empty(&self) -> bool {
        self.state.lock().queue.is_empty()
    }

    /// The next delivery, or a nudge.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<Mail> {
        let mut state = self.state.lock();
        if let Some(delivery) = state.queue.pop_front() {
            state.bytes -= delivery.byte_len();
            let resume = state.refused && state.has_room(self.capacity);
            state.refused &= !resume;
            return Poll::Ready(Mail { delivery: Some(delivery), resume });
        }
        if state.nudged {
            state.nudged = false;
            return Poll::Ready(Mail { delivery: None, resume: false });
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl State {
    fn push(&mut self, delivery: Delivery, bytes: usize) {
        self.queue.push_back(delivery);
        self.bytes += bytes;
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn has_room(&self, capacity: Capacity) -> bool {
        self.queue.len() < capacity.deliveries.div_ceil(2) && self.bytes < capacity.bytes.div_ceil(2)
    }
}
