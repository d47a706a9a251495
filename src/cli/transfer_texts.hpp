#pragma once

#include <string>
#include <vector>

namespace sealine::cli {

/// What send and recv take beside the options that others have too, as it was typed.
struct TransferTexts {
  std::vector<std::string> words, keys, exclude;
  std::string input_name, block, lanes, compress, progress;
  std::string out, on_conflict, quota, hook;
  bool dry_run = false, once = false, per_sender = false, require_clock = false;
  bool any_links = false, list = false, discard = false, has_hook = false, has_name = false;
  std::string command_line;
};

}  // namespace sealine::cli
