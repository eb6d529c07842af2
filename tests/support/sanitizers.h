// NIBBLE_SANITIZED: built with AddressSanitizer or ThreadSanitizer, which have allocators of their
// own and keep what is freed.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)  // GCC
#define NIBBLE_SANITIZED 1
#elif defined(__has_feature)  // clang
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NIBBLE_SANITIZED 1
#endif
#endif
