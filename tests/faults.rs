//! Faults injected from outside: the engine killed at any moment, damaged files, a disk that is full or gone, numbers that explode,
//! too little memory, long runs. `make faults` tries all of it, `make test` a few of each.

mod place;
