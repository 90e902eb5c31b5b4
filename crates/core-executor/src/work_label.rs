//! Names for what workers run, made only when somebody asks.

use crate::activity::{self, About};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Makes a name of the detail that was noted.
pub(crate) type Describe = dyn Fn(&[u8]) -> String + Send + Sync;

/// Says of the turn that a task is having what it is about, so that it can be named when it blocks its worker. Made by
/// [`Spawner::work_label`](crate::Spawner::work_label); cloning shares it.
#[derive(Clone)]
pub struct WorkLabel {
    owner: u64,
    index: usize,
    /// The table has it as long as somebody may note something.
    _describe: Arc<Describe>,
}

impl WorkLabel {
    /// The calling task's turn is about this: at most 256 bytes, of which a name is made only when it is needed. Holds
    /// up to the end of the turn. Without effect on a thread that is no worker of the label's executor. Costs a few
    /// nanoseconds.
    pub fn note(&self, detail: &[u8]) {
        activity::note(self.owner, self.index, detail);
    }
}

impl fmt::Debug for WorkLabel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("WorkLabel").finish_non_exhaustive()
    }
}

enum Label {
    Name(&'static str),
    Described(Weak<Describe>),
}

/// The labels of one executor: the names of its tasks, which are as many as the program has, and those that servers
/// made, whose places are used again.
pub(crate) struct Labels {
    owner: u64,
    all: Mutex<Vec<Label>>,
}

impl Labels {
    pub(crate) fn new(owner: u64) -> Self {
        Self {
            owner,
            // `About::SERVICE` is the first.
            all: Mutex::new(vec![Label::Name("service")]),
        }
    }

    /// The label of tasks of this name.
    pub(crate) fn of_name(&self, name: &'static str) -> usize {
        let is_it = |label: &Label| matches!(label, Label::Name(known) if *known == name);
        self.place(is_it, Label::Name(name))
    }

    pub(crate) fn described(&self, describe: Arc<Describe>) -> WorkLabel {
        let is_free =
            |label: &Label| matches!(label, Label::Described(described) if described.strong_count() == 0);
        WorkLabel {
            owner: self.owner,
            index: self.place(is_free, Label::Described(Arc::downgrade(&describe))),
            _describe: describe,
        }
    }

    /// What a task's turns are about: a number that this label describes.
    pub(crate) fn about(&self, label: &WorkLabel, number: u64) -> About {
        if label.owner == self.owner {
            About::number(label.index, number)
        } else {
            About::SERVICE
        }
    }

    /// What a worker says it is at.
    pub(crate) fn name(&self, index: usize, detail: &[u8]) -> String {
        let describe = match self.lock().get(index) {
            Some(Label::Name(name)) => return format!("task `{name}`"),
            Some(Label::Described(describe)) => describe.upgrade(),
            None => None,
        };
        // Called without the lock: it is somebody else's code.
        describe.map_or_else(|| "a task".to_owned(), |describe| describe(detail))
    }

    fn place(&self, fits: impl Fn(&Label) -> bool, label: Label) -> usize {
        let mut all = self.lock();
        match all.iter().position(fits) {
            Some(index) => {
                all[index] = label;
                index
            }
            None => {
                all.push(label);
                all.len() - 1
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Label>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_once_and_places_are_used_again() {
        let labels = Labels::new(1);
        let thumbnail = labels.of_name("thumbnail");
        assert_eq!(labels.of_name("thumbnail"), thumbnail);
        let describe = |detail: &[u8]| format!("request {}", detail.len());
        let label = labels.described(Arc::new(describe));
        assert_eq!(labels.name(label.index, b"abc"), "request 3");
        let index = label.index;
        drop(label);
        assert_eq!(labels.name(index, b"abc"), "a task");
        assert_eq!(labels.described(Arc::new(describe)).index, index);
        assert_eq!(labels.name(thumbnail, b""), "task `thumbnail`");
        assert_eq!(labels.name(99, b""), "a task");
    }

    #[test]
    fn a_label_of_another_executor_says_nothing() {
        let (labels, others) = (Labels::new(1), Labels::new(2));
        let label = labels.described(Arc::new(|_: &[u8]| String::new()));
        assert_eq!(labels.about(&label, 5), About::number(label.index, 5));
        assert_eq!(others.about(&label, 5), About::SERVICE);
        assert_eq!(labels.name(0, b""), "task `service`");
    }
}
