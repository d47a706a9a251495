#pragma once

#include "cli/failure.hpp"
#include "cli/options.hpp"
#include "cli/output.hpp"
#include "sealine/io/stt_options.hpp"
#include "sealine/stc/stc.hpp"

#include <memory>
#include <string>

namespace sealine::cli {

using SharedSeed = std::shared_ptr<const stc::Seed>;

/// The seed of a file, of the environment's file ($SEALINE_SEED_FILE, else sealine.key in
/// $CREDENTIALS_DIRECTORY), or of a passphrase that is asked for on the terminal. Errors: usage
/// where none is named or nobody can be asked; those of secret files, all with exit code 2.
[[nodiscard]] Outcome<SharedSeed> load_seed(const SeedOptions& options, Output& output);

/// 32 random bytes.
[[nodiscard]] SharedSeed new_seed();

/// `sls1...`, the form in which people hand it on.
[[nodiscard]] SecretBytes seed_text(const stc::Seed& seed);

/// What both commands tell their endpoint.
[[nodiscard]] io::stt::EndpointOptions endpoint_options(SharedSeed seed,
                                                        const NetworkOptions& network,
                                                        io::stt::Padding padding);

}  // namespace sealine::cli
