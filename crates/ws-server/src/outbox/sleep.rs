//! The sleep of a transport's task, and who is to be woken.

use std::task::{Context, Waker};

use super::Outbox;
use super::policy::Interest;
use super::state::{Sleeper, State};
use crate::sync::Ordering;

impl Outbox {
    /// The task is awake: who sends need not wake it.
    pub(crate) fn awake(&self) {
        let waker = self.rouse(&mut self.lock());
        drop(waker);
    }

    /// Nobody sleeps any more; who did is to be woken.
    pub(super) fn rouse(&self, state: &mut State) -> Option<Waker> {
        self.sleeping_task.store(0, Ordering::Release);
        state.sleeper.take().map(|sleeper| sleeper.waker)
    }

    /// The same for a message, which not every sleeper wants.
    pub(super) fn rouse_for_message(&self, state: &mut State) -> Option<Waker> {
        state.sleeper.as_ref().filter(|sleeper| sleeper.wants_messages)?;
        self.rouse(state)
    }

    /// Whether this task went to sleep for messages and nothing has woken it since, so that it need not do so again.
    /// There may be other news.
    #[inline]
    pub(crate) fn is_asleep(&self, context: &Context<'_>) -> bool {
        self.sleeping_task.load(Ordering::Acquire) == name_of_task(context)
    }

    /// Goes to sleep until something of `interest` happens; `false`: something is there already.
    pub(crate) fn sleep(&self, interest: Interest, context: &Context<'_>) -> bool {
        let mut state = self.lock();
        let has_news = state.ended
            || state.close_version != interest.close_version
            || (interest.messages && state.has_work());
        if has_news {
            return false;
        }
        let task = if interest.messages {
            name_of_task(context)
        } else {
            0
        };
        self.sleeping_task.store(task, Ordering::Release);
        match &mut state.sleeper {
            Some(sleeper) if sleeper.waker.will_wake(context.waker()) => {
                sleeper.wants_messages = interest.messages;
            }
            sleeper => {
                let waker = context.waker().clone();
                *sleeper = Some(Sleeper {
                    waker,
                    wants_messages: interest.messages,
                });
            }
        }
        true
    }
}

/// Where the waker's data is, and never 0. No other task can be there while the waker is held.
fn name_of_task(context: &Context<'_>) -> usize {
    context.waker().data().addr().wrapping_add(1)
}
