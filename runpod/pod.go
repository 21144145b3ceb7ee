package runpod

import "time"

// Pod is a pod as it stands in replies of the API; Instance.Native is a pointer to one. What RunPod does not tell is
// zero. Fields that are not here are passed over.
type Pod struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Image     string            `json:"image"`
	Args      string            `json:"args"`
	Disk      int64             `json:"disk"` // GB
	Env       map[string]string `json:"env"`  // in clear
	Ports     []string          `json:"ports"`
	Registry  string            `json:"registry"`
	Mounts    Mounts            `json:"mounts"`
	Status    string            `json:"status"`
	Actions   []string          `json:"actions"` // what is legal now
	GPU       *PodGPU           `json:"gpu"`     // exactly one of GPU and CPU
	CPU       *PodCPU           `json:"cpu"`
	Cloud     string            `json:"cloud"`        // SECURE or COMMUNITY
	DC        string            `json:"dataCenterId"` // empty: not placed yet
	CUDA      string            `json:"cudaVersion"`
	Cost      float64           `json:"cost"` // US dollars an hour; 0 when it does not run
	Locked    bool              `json:"locked"`
	Runtime   *Runtime          `json:"runtime"` // nil unless it runs
	SSH       SSH               `json:"ssh"`
	Cluster   *Cluster          `json:"cluster"` // nil: no member of one
	CreatedAt time.Time         `json:"createdAt"`
	StartedAt time.Time         `json:"startedAt"`
}

// Mounts are a pod's volumes; it has at most one of either kind.
type Mounts struct {
	Network    []NetworkMount `json:"network,omitempty"`
	Persistent *struct {
		Size int64  `json:"size"` // GB
		Path string `json:"path"`
	} `json:"persistent,omitempty"`
}

// NetworkMount is a network volume in a pod.
type NetworkMount struct {
	VolumeID string `json:"volumeId"`
	Path     string `json:"path"`
}

// PodGPU is the GPUs of a pod.
type PodGPU struct {
	ID    string `json:"id"`
	Count int    `json:"count"`
}

// PodCPU is the processors of a pod without GPUs.
type PodCPU struct {
	ID     string  `json:"id"`
	VCPUs  int     `json:"vcpuCount"`
	Memory float64 `json:"memory"` // GB
}

// Runtime is what RunPod sees of a running container. It may lag, and may be missing now and then.
type Runtime struct {
	Uptime int64 `json:"uptime"` // seconds since the container, not the pod, was started
	Ports  []struct {
		Private int    `json:"private"`
		Public  int    `json:"public"`
		Type    string `json:"type"` // tcp or http
		IP      string `json:"ip"`
	} `json:"ports"`
}

// SSH is where a pod's sshd is, if it has one.
type SSH struct {
	Direct *Endpoint `json:"direct"` // nil until it runs and a port was assigned
	Proxy  *Endpoint `json:"proxy"`  // terminals only
}

// Endpoint is an address to log in to.
type Endpoint struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Username string `json:"username"`
}

// Cluster says which member of which cluster a pod is.
type Cluster struct {
	ID string `json:"id"`
}
