// libsodium, of which only scrypt is used: its own uses the vector unit, libcrypto's does not.
#include <sodium.h>
