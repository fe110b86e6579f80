//! How many processors this process may use: those that it is bound to, as far as the quota of its
//! control group goes, and as many as its batch job has asked for.

use std::thread::available_parallelism;

/// How Slurm says how many processors a task has, also where it binds no task to any.
const OF_TASK: &str = "SLURM_CPUS_PER_TASK";

/// How many these are; none where the system does not say.
#[must_use]
pub fn usable() -> Option<usize> {
    let processors = available_parallelism().ok()?;
    Some(limited(processors.get(), std::env::var(OF_TASK).ok()))
}

fn limited(processors: usize, of_task: Option<String>) -> usize {
    let of_task = of_task.and_then(|text| text.trim().parse().ok());
    of_task
        .filter(|count| *count > 0)
        .map_or(processors, |count: usize| count.min(processors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_a_batch_job_uses_what_it_has_asked_for() {
        let of = |text: &str| limited(64, Some(text.into()));
        assert_eq!((of("4"), of("64"), of("100")), (4, 64, 64));
        for text in ["", "0", "-1", "many"] {
            assert_eq!(of(text), 64, "{text}");
        }
        assert_eq!(limited(64, None), 64);
        assert!(usable().is_none_or(|count| count > 0));
    }
}
