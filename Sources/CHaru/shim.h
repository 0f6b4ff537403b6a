// libharu, which writes PDF; and how large an allocation is, so that it can be wiped before it is freed.
#include <hpdf.h>
#include <malloc.h>
