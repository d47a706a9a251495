#pragma once

#include "sealine/base/error.hpp"
#include "sealine/stx/code.hpp"

namespace sealine::io::stx {

/// The error of a file operation that failed with this errno: disk_full (ENOSPC), quota_full
/// (EDQUOT), file_name_refused (ENAMETOOLONG), else file_error; detail = errno.
[[nodiscard]] Error file_error_of(int error_number) noexcept;

/// The same of `errno`, to be returned.
[[nodiscard]] std::unexpected<Error> failed();

/// What a peer is told of an error of the files here.   spec: stx.md#codes
[[nodiscard]] sealine::stx::Code code_of(const Error& error) noexcept;

}  // namespace sealine::io::stx
