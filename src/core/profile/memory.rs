//! The settings that decide how much memory a run takes.

/// Their keys, for "lower …" and "a smaller …".
pub const MEMORY_KEYS: &str = "distill.batch, expert.batch, network.width, distill.ipc or, where \
                               the network is wide, distill.syn_steps";

/// What a user can change when a run has run out of memory.
pub fn memory_advice() -> String {
    format!(
        "If distillation ran out of memory, a smaller distill.batch may also help this run: resume \
         it with --detach, then `astill send RUN set distill.batch=…`. Otherwise start a new run \
         with a smaller {MEMORY_KEYS}"
    )
}
