// Search where the site was opened from a folder: browsers start no worker from file://, so its script runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(address) {
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.head.appendChild(this.frame)
      const inside = this.frame.contentWindow
      inside.postMessage = data => this.deliver(this, data)
      this.ready = new Promise(resolve => {
        const script = inside.document.createElement("script")
        script.onload = () => resolve(inside)
        script.onerror = error => this.onerror && this.onerror(error)
        script.src = address
        inside.document.head.appendChild(script)
      })
    }
    postMessage(data) {
      const sent = structuredClone(data)    // at once: each side may change its own
      this.ready.then(inside => this.deliver(inside, sent))
    }
    deliver(side, data) {
      const event = { data: structuredClone(data) }
      setTimeout(() => side.onmessage && side.onmessage(event))
    }
    terminate() {
      this.frame.remove()
    }
  }
}
