//! What a process costs: CPU time and resident memory, from `/proc`.

use std::fs;
use std::io;
use std::time::Duration;

/// A running process.
#[derive(Debug, Clone, Copy)]
pub struct Process(u32);

impl Process {
    /// The process with this id.
    #[must_use]
    pub fn new(id: u32) -> Self {
        Self(id)
    }

    /// CPU time its living threads have had so far, user and system.
    ///
    /// # Errors
    /// The process is gone, or this kernel does not keep the figure.
    pub fn cpu(self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            // A thread that ends between the two looks takes its figure along; servers under load start none.
            if let Ok(figures) = fs::read_to_string(task?.path().join("schedstat")) {
                nanoseconds += first_number(&figures)?;
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// The process is gone.
    pub fn resident(self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        Ok(first_number(line.unwrap_or_default())? * 1024)
    }
}

fn first_number(text: &str) -> io::Result<u64> {
    let number = text.split_whitespace().next().and_then(|word| word.parse().ok());
    number.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "no number where the kernel writes one",
        )
    })
}

/// CPU time of the calling process.
///
/// # Errors
/// This kernel does not keep the figure.
pub fn own_cpu() -> io::Result<Duration> {
    Process::new(std::process::id()).cpu()
}

#[cfg(test)]
mod tests {
    use super::{Process, own_cpu};

    #[test]
    fn the_own_process_has_costs() {
        let before = own_cpu().unwrap();
        let mut number = 1_u64;
        while own_cpu().unwrap() == before {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(Process::new(std::process::id()).resident().unwrap() > 100_000);
        assert!(Process::new(u32::MAX).cpu().is_err());
    }
}
