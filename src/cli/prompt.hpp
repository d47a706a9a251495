#pragma once

#include "cli/trust_setup.hpp"
#include "sealine/io/trust.hpp"

#include <memory>

namespace sealine::cli {

/// Asks on the terminal whether a stranger's key is to be taken (`--trust ask`). With `yes` the
/// answer is yes; where standard input is no terminal nobody is asked, and the record says so.
[[nodiscard]] io::Prompt make_prompt(bool yes, std::shared_ptr<PromptRecord> record);

}  // namespace sealine::cli
