/* A lock and a condition under it, where there are threads; nothing where there are none (-DNORMA_BARE_METAL,
 * for machines without an operating system). */
#ifndef ENGINE_BASE_LOCK_H
#define ENGINE_BASE_LOCK_H

#ifdef NORMA_BARE_METAL

typedef char lock_mutex;
typedef char lock_condition;

#define LOCK_NOTHING(name, type)                                                                                       \
  static inline void name(type *lock) {                                                                                \
    (void)lock;                                                                                                        \
  }
LOCK_NOTHING(lock_init, lock_mutex)
LOCK_NOTHING(lock_destroy, lock_mutex)
LOCK_NOTHING(lock_take, lock_mutex)
LOCK_NOTHING(lock_give, lock_mutex)
LOCK_NOTHING(lock_condition_init, lock_condition)
LOCK_NOTHING(lock_condition_destroy, lock_condition)
LOCK_NOTHING(lock_wake_all, lock_condition)
#undef LOCK_NOTHING

static inline void lock_wait(lock_condition *condition, lock_mutex *lock) {
  (void)condition, (void)lock;
}

#else
#include <pthread.h>

typedef pthread_mutex_t lock_mutex;
typedef pthread_cond_t lock_condition;

static inline void lock_init(lock_mutex *lock) {
  pthread_mutex_init(lock, NULL);
}
static inline void lock_destroy(lock_mutex *lock) {
  pthread_mutex_destroy(lock);
}
static inline void lock_take(lock_mutex *lock) {
  pthread_mutex_lock(lock);
}
static inline void lock_give(lock_mutex *lock) {
  pthread_mutex_unlock(lock);
}
static inline void lock_condition_init(lock_condition *condition) {
  pthread_cond_init(condition, NULL);
}
static inline void lock_condition_destroy(lock_condition *condition) {
  pthread_cond_destroy(condition);
}
/* Gives the lock, sleeps until woken, and takes it again. */
static inline void lock_wait(lock_condition *condition, lock_mutex *lock) {
  pthread_cond_wait(condition, lock);
}
static inline void lock_wake_all(lock_condition *condition) {
  pthread_cond_broadcast(condition);
}

#endif
#endif
