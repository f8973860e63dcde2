/* N1_API marks what the shared library exports; all else stays hidden. */
#ifndef N1STORE_EXPORT_H
#define N1STORE_EXPORT_H

#if defined(__GNUC__)
#define N1_API __attribute__((visibility("default")))
#else
#define N1_API
#endif

#endif
