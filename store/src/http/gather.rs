//! Lets the answers of a connection leave together.
//!
//! The task that another one wakes is the next that tokio runs, before all that were ready already. So the first answer
//! that is ready would be written at once, with a system call of its own, which costs a good part of what making it does;
//! and so would the next.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper::rt::Executor;

/// Runs the tasks of a connection, one for each request, and knows how many there are.
#[derive(Clone, Debug, Default)]
pub struct Tasks(Arc<AtomicUsize>);

/// Counts as one task until it is dropped.
struct Running(Tasks);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.fetch_add(1, Ordering::Relaxed);
        let running = Running(self.clone());
        // Boxed, since tokio moves what it is given a dozen times, and all of a request is in it.
        tokio::spawn(Box::pin(async move {
            task.await;
            drop(running);
        }));
    }
}

/// Drives a connection. Whenever it is woken while requests are open, what was ready to run before runs first and adds its
/// answers.
pub struct Gathering<F> {
    connection: F,
    tasks: Tasks,
    stood_back: bool,
}

impl<F> Gathering<F> {
    /// Drives `connection`, whose requests `tasks` runs.
    pub fn new(connection: F, tasks: Tasks) -> Self {
        Self { connection, tasks, stood_back: false }
    }
}

impl<F: Future + Unpin> Future for Gathering<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.stood_back = !self.stood_back && self.tasks.0.load(Ordering::Relaxed) > 0;
        if self.stood_back {
            // A task that wakes itself goes to the end of the queue.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.connection).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use futures::task::AtomicWaker;
    use parking_lot::Mutex;

    use super::*;

    const REQUESTS: usize = 8;

    /// Answers that wait for the connection to write them.
    #[derive(Default)]
    struct Ready {
        answers: Mutex<usize>,
        connection: AtomicWaker,
    }

    /// Begins as many tasks as there are requests, each with an answer.
    fn read_requests(ready: &Arc<Ready>, tasks: &Tasks) {
        for _ in 0..REQUESTS {
            let ready = ready.clone();
            tasks.execute(async move {
                *ready.answers.lock() += 1;
                ready.connection.wake();
            });
        }
    }

    /// How many answers a connection writes at a time.
    async fn writes() -> Vec<usize> {
        let ready = Arc::<Ready>::default();
        let mut writes = Vec::new();
        let mut read = false;
        let tasks = Tasks::default();
        let running = tasks.clone();
        let connection = poll_fn(|context| {
            ready.connection.register(context.waker());
            if !std::mem::replace(&mut read, true) {
                read_requests(&ready, &running);
            }
            let answers = std::mem::take(&mut *ready.answers.lock());
            writes.extend((answers > 0).then_some(answers));
            if writes.iter().sum::<usize>() < REQUESTS { Poll::Pending } else { Poll::Ready(()) }
        });
        Gathering::new(connection, tasks).await;
        writes
    }

    #[test]
    fn what_is_ready_together_is_written_together() {
        // One thread, so that all tasks are in the same queue.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let writes = runtime.block_on(runtime.spawn(writes())).unwrap();
        assert_eq!(writes, [REQUESTS]);
    }
}
