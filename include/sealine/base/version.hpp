#pragma once

#include "sealine/base/export.hpp"

/// The version of Sealine, for `#if` and for people. CMake reads the three numbers from here, so
/// that this is the only place where they stand. The first number is also the one in the name of
/// the shared library (`libsealine.so.0`).
#define SEALINE_VERSION_MAJOR 0
#define SEALINE_VERSION_MINOR 1
#define SEALINE_VERSION_PATCH 0

/// One number that grows with the version: 10,000 * major + 100 * minor + patch.
#define SEALINE_VERSION \
  (SEALINE_VERSION_MAJOR * 10000 + SEALINE_VERSION_MINOR * 100 + SEALINE_VERSION_PATCH)

#define SEALINE_VERSION_QUOTE_(text) #text
#define SEALINE_VERSION_JOIN_(a, b, c) \
  SEALINE_VERSION_QUOTE_(a) "." SEALINE_VERSION_QUOTE_(b) "." SEALINE_VERSION_QUOTE_(c)

/// The version as text, such as "0.1.0".
#define SEALINE_VERSION_STRING \
  SEALINE_VERSION_JOIN_(SEALINE_VERSION_MAJOR, SEALINE_VERSION_MINOR, SEALINE_VERSION_PATCH)

/// The version of the library that is linked, as SEALINE_VERSION_STRING was when it was built.
extern "C" SEALINE_API const char* sealine_version() noexcept;
