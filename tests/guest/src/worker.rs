// SPDX-License-Identifier: GPL-2.0

//! A value that lives on a thread of its own.
//!
//! For rings: the end of one makes its submitter look as if it had a signal pending
//! (TIF_NOTIFY_SIGNAL), some time later, and a signal cuts the resize of a pool short.

use std::sync::mpsc::{channel, Sender};
use std::thread::{Builder, JoinHandle};

use crate::{Check, Fail};

type Job<T> = Box<dyn FnOnce(&mut T) + Send>;

/// A thread that has a `T`, until this is dropped. Between calls it waits and holds no lock, so the
/// process may fork; the child has the thread's memory, but not the thread.
pub struct Worker<T> {
    jobs: Option<Sender<Job<T>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: 'static> Worker<T> {
    /// Starts the thread, which makes its value.
    pub fn new(make: impl FnOnce() -> Check<T> + Send + 'static) -> Check<Self> {
        let (jobs, received) = channel::<Job<T>>();
        let (told, made) = channel();
        let thread = Builder::new().spawn(move || match make() {
            Ok(mut value) => {
                let _ = told.send(Ok(()));
                received.iter().for_each(|job| job(&mut value));
            }
            Err(why) => drop(told.send(Err(why))),
        })?;
        let this = Self {
            jobs: Some(jobs),
            thread: Some(thread),
        };
        made.recv()??;
        Ok(this)
    }

    /// Runs `job` there and waits for what it says.
    pub fn call<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut T) -> Check<R> + Send + 'static,
    ) -> Check<R> {
        let (told, answer) = channel();
        let job = move |value: &mut T| drop(told.send(job(value)));
        self.jobs
            .as_ref()
            .and_then(|jobs| jobs.send(Box::new(job)).ok())
            .ok_or_else(|| Fail("the thread of a ring is gone".to_string()))?;
        answer.recv()?
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
