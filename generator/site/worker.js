// Browsers refuse workers to pages that are opened from the file system. There the search runs in a frame instead.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inner = this.frame.contentWindow;
      inner.postMessage = (data) => {
        const copy = structuredClone(data);
        setTimeout(() => this.onmessage && this.onmessage({ data: copy }));
      };
      const script = inner.document.createElement("script");
      script.src = url;
      script.onerror = (event) => this.onerror && this.onerror(event);
      this.loaded = new Promise((resolve) => { script.onload = resolve; });
      inner.document.body.append(script);
    }
    postMessage(data) {
      const copy = structuredClone(data);
      this.loaded.then(() => {
        const inner = this.frame.contentWindow;
        if (inner) inner.dispatchEvent(new inner.MessageEvent("message", { data: copy }));
      });
    }
    terminate() { this.frame.remove(); }
  };
}
