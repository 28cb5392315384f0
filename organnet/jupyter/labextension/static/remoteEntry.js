// Registers the widget module "itkwidgets" 0.32 with JupyterLab 4, which itkwidgets itself does not.
//
// Written by hand, so that there is no build step: it is what webpack's module federation asks of a
// remote (`init` and `get`), around the AMD module that the installed package carries for the classic
// notebook. organnet.jupyter serves that file; no code of itkwidgets lies here.
(() => {
  "use strict";
  const NAME = "organnet-itkwidgets";
  let sharedScope;

  // JupyterLab hands out several versions of a shared module: take the newest.
  async function shared(module) {
    const versions = sharedScope[module];
    if (!versions) throw new Error(`${NAME}: JupyterLab offers no ${module}`);
    const newest = Object.keys(versions).sort((a, b) =>
      a.localeCompare(b, undefined, { numeric: true })
    );
    return (await versions[newest.at(-1)].get())();
  }

  // itkwidgets calls Backbone's Model.extend({...}), which the classes of today no longer have.
  function withExtend(base) {
    const extend = function (members, statics = {}) {
      const Parent = this;
      class Child extends Parent {}
      Object.assign(Child.prototype, members);
      return Object.assign(Child, { extend }, statics);
    };
    const old = { ...base };
    for (const name of ["WidgetModel", "DOMWidgetModel", "WidgetView", "DOMWidgetView"]) {
      old[name] = class extends base[name] {};
      old[name].extend = extend;
    }
    // Methods call their parent as DOMWidgetModel.prototype.defaults() without an object.
    old.DOMWidgetModel.prototype.defaults = () => base.DOMWidgetModel.prototype.defaults.call({});
    return old;
  }

  // Runs the file's only statement, define([...], factory), with a `define` of its own.
  async function loadAmd(url, modules) {
    const answer = await fetch(url, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(`${NAME}: ${url} answers ${answer.status}: is the server extension organnet.jupyter enabled?`);
    const source = await answer.text();
    let exported;
    const define = (names, factory) => {
      exported = factory(...names.map((name) => modules[name]));
    };
    new Function("define", `${source}\n//# sourceURL=${url}`)(define);
    return exported;
  }

  async function plugin() {
    const base = await shared("@jupyter-widgets/base");
    const { PageConfig } = await shared("@jupyterlab/coreutils");
    return {
      id: `${NAME}:plugin`,
      autoStart: true,
      requires: [base.IJupyterWidgetRegistry],
      activate: (app, registry) => {
        const root = PageConfig.getBaseUrl();
        document.body.dataset.baseUrl = new URL(root, location).pathname; // where it looks for its workers
        // Once for all models and views; a failure is tried again.
        let loaded;
        const load = () =>
          loadAmd(`${root}nbextensions/itkwidgets/index.js`, {
            "@jupyter-widgets/base": withExtend(base),
          }).catch((error) => {
            loaded = undefined;
            throw error;
          });
        registry.registerWidget({
          name: "itkwidgets",
          version: "0.32.6",
          exports: () => (loaded ??= load()),
        });
      },
    };
  }

  (window._JUPYTERLAB ??= {})[NAME] = {
    init: (scope) => {
      sharedScope = scope;
    },
    get: async (module) => {
      if (module !== "./extension") throw new Error(`${NAME} has no module ${module}`);
      const extension = await plugin();
      return () => ({ __esModule: true, default: extension });
    },
  };
})();
