#pragma once

#include <string>
#include <vector>

namespace sealine::cli {

/// What `stt` and `web` take beside the options that others have too, as it was typed.
struct SttTexts {
  std::string url, seed_file, command, dir, congestion, mtu, workers;
  std::vector<std::string> targets, forwards, origins;
  bool passphrase = false, new_seed = false, echo = false, has_command = false, has_dir = false;
};

}  // namespace sealine::cli
