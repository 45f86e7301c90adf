/* Sessions and runs. */
#include "sessions.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

/* How often a run in the main thread looks for signals. */
#define SESSIONS_SIGNAL_NS 50000000

module_state *sessions_state(const session_object *session) {
  return session->model->runtime->state;
}

/* -------------------------------------------------------------------------------------------------------------- run */

/* A run that gives way to signals, which Python's main thread alone handles. */
typedef struct signal_watch {
  pthread_t thread;
  uint64_t next_ns;
  PyThreadState *thread_state;
  bool is_interrupted;
} signal_watch;

static uint64_t signals_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static bool signals_check(void *context) {
  signal_watch *watch = context;
  if (!pthread_equal(watch->thread, pthread_self())) return false;
  const uint64_t now = signals_now();
  if (now < watch->next_ns || watch->is_interrupted) return watch->is_interrupted;
  watch->next_ns = now + SESSIONS_SIGNAL_NS;
  PyEval_RestoreThread(watch->thread_state);
  watch->is_interrupted = PyErr_CheckSignals() != 0;
  watch->thread_state = PyEval_SaveThread();
  return watch->is_interrupted;
}

static bool sessions_compute(session_object *session, double timeout, norma_run_profile profile) {
  module_state *state = sessions_state(session);
  norma_run_options options = {.struct_size = sizeof options, .timeout = timeout, .profile = profile};
  signal_watch watch = {.thread = pthread_self(), .next_ns = signals_now() + SESSIONS_SIGNAL_NS};
  if (PyThread_get_thread_ident() == state->main_thread) {
    options.is_cancelled = signals_check;
    options.cancel_context = &watch;
  }
  norma_error error;
  watch.thread_state = PyEval_SaveThread();
  const norma_status status = norma_session_run_with(session->session, &options, &error);
  PyEval_RestoreThread(watch.thread_state);
  if (watch.is_interrupted) return false; /* with the exception that the signal's handler has raised */
  if (status != NORMA_OK) errors_raise(state, &error);
  return status == NORMA_OK;
}

static bool sessions_enter(session_object *session) {
  if (session->is_running) {
    errors_raise_status(sessions_state(session), NORMA_ERROR_ARGUMENT, NULL,
                        "the session is in a run already: each thread needs a session of its own, which is cheap to "
                        "make of the same model");
    return false;
  }
  if (!runtimes_check_fork(session->model->runtime)) return false;
  session->is_running = true;
  return true;
}

static void sessions_leave(session_object *session) {
  outputs_release(session);
  inputs_release(session);
  session->is_running = false;
}

static PyObject *sessions_run(PyObject *self, PyObject *arguments, PyObject *keywords) {
  session_object *session = (session_object *)self;
  PyObject *inputs = Py_None, *outputs = Py_None, *profile = Py_None;
  double timeout = 0;
  if (!keywords && PyTuple_Size(arguments) == 1) { /* what a loop does */
    inputs = PyTuple_GetItem(arguments, 0);
  } else {
    static const char *const names[] = {"inputs", "outputs", "timeout", "profile", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|OO$dO", (char **)(uintptr_t)names, &inputs, &outputs,
                                     &timeout, &profile)) {
      return NULL;
    }
  }
  const int is_profiled = profile == Py_None ? -1 : PyObject_IsTrue(profile);
  const norma_run_profile chosen =
      is_profiled < 0 ? NORMA_PROFILE_SESSION : (is_profiled ? NORMA_PROFILE_ON : NORMA_PROFILE_OFF);
  if (PyUnicode_Check(outputs)) PyErr_SetString(PyExc_TypeError, "outputs are a list of names, not one name");
  PyObject *names = outputs == Py_None || PyErr_Occurred() ? NULL : PySequence_List(outputs);
  if (PyErr_Occurred() || !sessions_enter(session)) {
    Py_XDECREF(names);
    return NULL;
  }
  PyObject *result = NULL;
  const bool is_ready =
      inputs == Py_None ? inputs_take(session, sessions_state(session)->empty) : inputs_take(session, inputs);
  if (is_ready && (!session->has_large_outputs || outputs_bind(session)) &&
      sessions_compute(session, timeout, chosen)) {
    result = outputs_take_all(session, names);
  }
  sessions_leave(session);
  Py_XDECREF(names);
  return result;
}

/* ---------------------------------------------------------------------------------------------------- other methods */

static PyObject *sessions_cancel(PyObject *self, PyObject *arguments) {
  (void)arguments;
  norma_session_cancel(((session_object *)self)->session);
  Py_RETURN_NONE;
}

static PyObject *sessions_change_watch(PyObject *self, PyObject *name,
                                       norma_status (*change)(norma_session *, const char *, norma_error *)) {
  session_object *session = (session_object *)self;
  PyObject *bytes = text_bytes(name);
  if (!bytes || !sessions_enter(session)) {
    Py_XDECREF(bytes);
    return NULL;
  }
  norma_error error;
  const norma_status status = change(session->session, PyBytes_AsString(bytes), &error);
  sessions_leave(session);
  Py_DECREF(bytes);
  if (status != NORMA_OK) return errors_raise(sessions_state(session), &error);
  Py_RETURN_NONE;
}

static PyObject *sessions_watch(PyObject *self, PyObject *name) {
  return sessions_change_watch(self, name, norma_session_watch);
}

static PyObject *sessions_unwatch(PyObject *self, PyObject *name) {
  return sessions_change_watch(self, name, norma_session_unwatch);
}

static PyObject *sessions_profile(PyObject *self, PyObject *arguments) {
  (void)arguments;
  session_object *session = (session_object *)self;
  if (!sessions_enter(session)) return NULL;
  const size_t count = norma_session_profile_count(session->session);
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list && i < count; i++) {
    norma_profile_entry entry;
    norma_session_profile(session->session, i, &entry);
    PyObject *row = Py_BuildValue(
        "{s:N,s:s,s:s,s:K,s:K,s:K,s:K,s:d,s:d}", "node", text_of(entry.node, (Py_ssize_t)strlen(entry.node)), "op_type",
        entry.op_type, "kernel", entry.kernel, "runs", (unsigned long long)entry.runs, "total_ns",
        (unsigned long long)entry.total_ns, "start_ns", (unsigned long long)entry.start_ns, "last_ns",
        (unsigned long long)entry.last_ns, "flops", entry.flops, "bytes", entry.bytes);
    if (!row || PyList_SetItem(list, (Py_ssize_t)i, row) != 0) Py_CLEAR(list);
  }
  sessions_leave(session);
  return list;
}

static PyObject *sessions_reset_profile(PyObject *self, PyObject *arguments) {
  (void)arguments;
  session_object *session = (session_object *)self;
  if (!sessions_enter(session)) return NULL;
  norma_session_profile_reset(session->session);
  sessions_leave(session);
  Py_RETURN_NONE;
}

static PyObject *sessions_trim(PyObject *self, PyObject *arguments) {
  (void)arguments;
  session_object *session = (session_object *)self;
  if (!sessions_enter(session)) return NULL;
  norma_session_trim(session->session);
  sessions_leave(session);
  Py_RETURN_NONE;
}

static PyObject *sessions_model(PyObject *self, void *closure) {
  (void)closure;
  PyObject *model = (PyObject *)((session_object *)self)->model;
  Py_INCREF(model);
  return model;
}

static PyObject *sessions_arena_bytes(PyObject *self, void *closure) {
  (void)closure;
  session_object *session = (session_object *)self;
  if (!sessions_enter(session)) return NULL;
  norma_session_memory_info info = {.struct_size = sizeof info};
  norma_session_memory(session->session, &info);
  sessions_leave(session);
  return PyLong_FromSize_t(info.arena_bytes);
}

/* ------------------------------------------------------------------------------------------------------------- life */

static void sessions_fill_slots(session_object *session) {
  norma_value_info info;
  for (Py_ssize_t i = 0; i < session->model->input_count; i++) {
    norma_model_input(session->model->model, (size_t)i, &info);
    session->inputs[i].key = session->model->input_names[i];
    session->inputs[i].name = info.name;
    session->inputs[i].type = models_input_type(session->model->model, info.name);
  }
}

/* create_session(type, model, max_plans, profile, copy_inputs) */
PyObject *sessions_create(PyObject *module, PyObject *arguments) {
  module_state *state = PyModule_GetState(module);
  PyObject *type;
  model_object *model;
  int max_plans, profile, copies_inputs;
  if (!PyArg_ParseTuple(arguments, "OO!ipp", &type, state->model_type, &model, &max_plans, &profile, &copies_inputs) ||
      !runtimes_check_fork(model->runtime)) {
    return NULL;
  }
  session_object *session = objects_allocate(type, state->session_type);
  if (!session) return NULL;
  Py_INCREF(model);
  session->model = model;
  session->copies_inputs = copies_inputs;
  session->has_large_outputs = true; /* unless the first run shows that there are none */
  session->inputs = PyMem_Calloc((size_t)model->input_count + 1, sizeof *session->inputs);
  session->outputs = PyMem_Calloc((size_t)model->output_count + 1, sizeof *session->outputs);
  if (!session->inputs || !session->outputs) {
    Py_DECREF(session);
    return PyErr_NoMemory();
  }
  sessions_fill_slots(session);
  const norma_session_options options = {.struct_size = sizeof options, .max_plans = max_plans, .profile = profile};
  norma_error error;
  norma_status status;
  Py_BEGIN_ALLOW_THREADS;
  status = norma_session_create(model->model, &options, &session->session, &error);
  Py_END_ALLOW_THREADS;
  if (status != NORMA_OK) {
    Py_DECREF(session);
    return errors_raise(state, &error);
  }
  return (PyObject *)session;
}

static void sessions_deallocate(PyObject *self) {
  session_object *session = (session_object *)self;
  norma_session_destroy(session->session);
  for (Py_ssize_t i = 0; session->inputs && i < session->model->input_count; i++) PyMem_Free(session->inputs[i].copy);
  PyMem_Free(session->inputs);
  PyMem_Free(session->outputs);
  Py_XDECREF((PyObject *)session->model);
  objects_free(self);
}

static PyMethodDef sessions_methods[] = {
    {"run", (PyCFunction)(void (*)(void))sessions_run, METH_VARARGS | METH_KEYWORDS,
     "run($self, inputs=None, outputs=None, *, timeout=0, profile=None)\n--\n\n"
     "Runs the model. `inputs` is a dict by name, or a list in the order of the model. The result is a list: of all\n"
     "outputs, or of those that `outputs` names. Tensors are NumPy's arrays, which belong to the caller; sequences\n"
     "are lists, maps dicts, an empty optional None. `timeout` in seconds (0: none) ends the run with DeadlineError;\n"
     "`profile` measures this run or does not, whatever the session says. The GIL is released; large arrays are read\n"
     "in place and cannot be written meanwhile."},
    {"cancel", sessions_cancel, METH_NOARGS,
     "cancel($self)\n--\n\n"
     "Ends the run in progress, in whatever thread, with CancelledError; without one, the next run."},
    {"watch", sessions_watch, METH_O,
     "watch($self, name, /)\n--\n\n"
     "Keeps a value of the graph that is no output, so that run() gives it by name; \"*\": all."},
    {"unwatch", sessions_unwatch, METH_O, "unwatch($self, name, /)\n--\n\nTakes one watch back; \"*\": all."},
    {"profile", sessions_profile, METH_NOARGS,
     "profile($self)\n--\n\nThe steps of the plan as dicts, summed over the runs that were measured; pandas.DataFrame\n"
     "takes the list."},
    {"reset_profile", sessions_reset_profile, METH_NOARGS, "reset_profile($self)\n--\n\nForgets what was measured."},
    {"trim", sessions_trim, METH_NOARGS, "trim($self)\n--\n\nGives back memory that the next run can make again."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef sessions_getters[] = {
    {"model", sessions_model, NULL, "The model that it runs.", NULL},
    {"arena_bytes", sessions_arena_bytes, NULL, "Bytes of memory for results between nodes.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject *sessions_make_type(void) {
  PyType_Slot slots[] = {
      {Py_tp_new, objects_refuse},      {Py_tp_dealloc, sessions_deallocate}, {Py_tp_methods, sessions_methods},
      {Py_tp_getset, sessions_getters}, {Py_tp_doc, "A session of norma.h."}, {0, NULL},
  };
  PyType_Spec spec = {"norma._norma.Session", sizeof(session_object), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                      slots};
  return (PyTypeObject *)PyType_FromSpec(&spec);
}
