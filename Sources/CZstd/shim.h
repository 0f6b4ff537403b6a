// zstd with the static-only section, for ZSTD_CCtx_refPrefix and window limits.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>
