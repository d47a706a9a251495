#pragma once

namespace sealine::cli {

/// What the process does before it touches a secret: no core dump, nobody may look into its memory
/// (PR_SET_DUMPABLE), new files are ours alone, a reader that is gone is an error and no signal.
void harden_process() noexcept;

/// Raises the soft limit of descriptors to the hard one: a tunnel needs two for each connection.
void raise_descriptor_limit() noexcept;

}  // namespace sealine::cli
