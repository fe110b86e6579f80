//! Faults injected from outside: the engine killed at any moment, damaged files, a disk that is
//! full or gone, numbers that explode, too little memory, long runs. `make faults` tries all of it,
//! `make test` a few of each. docs/reliability.md says what each promises.

mod place;

#[path = "faults/damage.rs"]
mod damage;
#[path = "faults/disk/mod.rs"]
mod disk;
#[path = "faults/kill.rs"]
mod kill;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/long.rs"]
mod long;
#[path = "faults/numbers.rs"]
mod numbers;
#[path = "faults/several.rs"]
mod several;
#[path = "faults/walk.rs"]
mod walk;
