#include <sqlite3.h>

// sqlite3_db_config(3) and sqlite3_file_control's pointers take what Swift cannot pass or name.
static inline int holdfast_sqlite_set(sqlite3 *database, int option, int value) {
    int result = 0;
    return sqlite3_db_config(database, option, value, &result);
}

static inline sqlite3_file *holdfast_sqlite_file(sqlite3 *database, int operation) {
    sqlite3_file *file = 0;
    return sqlite3_file_control(database, "main", operation, &file) == SQLITE_OK ? file : 0;
}

static inline int holdfast_sqlite_read(sqlite3_file *file, void *buffer, int count, sqlite3_int64 offset) {
    return file->pMethods ? file->pMethods->xRead(file, buffer, count, offset) : SQLITE_IOERR_READ;
}

static inline int holdfast_sqlite_size(sqlite3_file *file, sqlite3_int64 *size) {
    return file->pMethods ? file->pMethods->xFileSize(file, size) : SQLITE_IOERR_FSTAT;
}

// The first bytes of the shared index of a write-ahead log; null where there is none.
static inline const volatile void *holdfast_sqlite_index(sqlite3_file *file) {
    void volatile *region = 0;
    if (!file->pMethods || file->pMethods->iVersion < 2 || !file->pMethods->xShmMap) return 0;
    int result = file->pMethods->xShmMap(file, 0, 32768, 0, &region);
    if (result != SQLITE_OK && result != SQLITE_READONLY) return 0;
    file->pMethods->xShmBarrier(file);
    return region;
}

static inline unsigned holdfast_sqlite_word(const volatile void *index, int number) {
    return ((const volatile unsigned *)index)[number];
}
