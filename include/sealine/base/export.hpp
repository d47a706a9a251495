#pragma once

/// SEALINE_API marks what the shared library shows; everything else is hidden.
#if defined(SEALINE_STATIC)
#define SEALINE_API
#elif defined(__GNUC__)
#define SEALINE_API __attribute__((visibility("default")))
#else
#define SEALINE_API
#endif
