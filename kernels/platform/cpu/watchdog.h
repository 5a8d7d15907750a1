// Signals and time: what turns a crash or a hang inside a kernel into a fault of its launch.
#pragma once

namespace hipforge::cpu {

class Worker;

/// Once per process: handlers for the signals of a crashing kernel, chained to those before them.
void install_signal_handlers();

/// The watchdog looks after a worker's blocks from now on, or no longer.
void watch(Worker* worker);
void unwatch(Worker* worker);

void watchdog_settings_changed();

}  // namespace hipforge::cpu
